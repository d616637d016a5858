"""A robot's life: bodies that change, and a controller that adapts."""
