"""`make mutants`: change the code at random places, and see whether a test notices."""
