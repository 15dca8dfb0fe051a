"""What ``pjc train`` is made of."""
