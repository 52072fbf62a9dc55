"""Edits of a talking face: what a recipe asks for, and what it does to region maps, pictures and codes."""
