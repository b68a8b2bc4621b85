"""The sandbox's own chance: whoever shares its process keeps theirs, and may have seeded it."""

from random import SystemRandom

chance = SystemRandom()
