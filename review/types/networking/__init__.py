"""Networks: firewalls, networks and subnetworks."""
