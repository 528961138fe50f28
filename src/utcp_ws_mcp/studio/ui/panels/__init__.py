"""One module for each panel; `build` draws it into the open tab."""
