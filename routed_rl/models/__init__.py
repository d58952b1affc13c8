"""Networks: what is seen, experts and their mixture, actions, and what is deployed of them."""
