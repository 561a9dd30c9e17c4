#!/usr/bin/env python
"""Django's command line."""

import os
import sys

if __name__ == "__main__":
    from aiplatform.printing import open_what_is_closed

    open_what_is_closed()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aiplatform.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
