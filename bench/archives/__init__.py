"""Generated archives of any length, with the rows and rejections that a rebuild of each must produce."""
