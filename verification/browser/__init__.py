"""The studio in a headless Chromium: every panel by mouse and by keyboard, hostile endpoints, and who may reach it."""
