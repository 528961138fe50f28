"""Make and try a manifest in the browser: the models behind the page of `studio`, without the page.

`studio.ui` draws them with NiceGUI, and is the only part that imports it. Connecting, drafting, checking and calling
are those of `authoring`.
"""
