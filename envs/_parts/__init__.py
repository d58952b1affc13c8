"""What the worlds of this folder are made of; much of it is shared by several."""
