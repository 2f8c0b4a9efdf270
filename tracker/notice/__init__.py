"""The notice for the people who can be heard: a page to print, and a sentence to say."""
