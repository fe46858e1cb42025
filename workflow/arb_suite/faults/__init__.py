"""The fault campaign: the main job is killed, starved of room and handed damaged files, and must end as if nothing had been."""
