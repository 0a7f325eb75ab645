"""What is asked before anybody trains: whether a method keeps to the contract, and an image set is what it seems."""
