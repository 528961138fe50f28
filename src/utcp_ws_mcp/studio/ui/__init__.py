"""The page of the studio, drawn with NiceGUI: `page` has the frame, `panels` one module for each panel."""
