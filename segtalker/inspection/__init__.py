"""What the system sees of a video: frames, region maps, mattes and style codes, as pictures for people."""
