"""Skill modules: encoder, prior and decoder, and their training."""
