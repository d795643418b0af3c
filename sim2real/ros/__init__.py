"""ROS 2: the bridge, its drivers and the twin. Each file imports rclpy when it runs, not before."""
