"""Pure decisions of the government side: chain definitions, facts and the panorama made of them."""
