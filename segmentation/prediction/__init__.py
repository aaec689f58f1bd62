"""From images to maps, instances and hypotheses."""
