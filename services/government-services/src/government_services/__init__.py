"""Government side 政府侧: the industry panorama and what follows it."""
