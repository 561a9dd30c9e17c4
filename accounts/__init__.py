"""Who calls: clients, their keys, their tiers."""
