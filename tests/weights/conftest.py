"""What the tests of published networks share."""

from tests.weights.web import web  # noqa: F401 - a fixture of all tests here
