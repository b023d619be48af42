"""Readers of dependency lists: requirements.txt, conda, poetry and pylock files."""
