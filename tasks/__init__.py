"""Tasks built on frozen skills: training, evaluation and export."""
