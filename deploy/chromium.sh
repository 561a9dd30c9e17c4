#!/bin/sh
# chromium.sh: prints where the browser of the tests is. $CHROMIUM names another; ends with 1 where there is none.
for each in "${CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable \
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"; do
    if [ -n "$each" ] && command -v "$each" 2>/dev/null; then
        exit 0
    fi
done
exit 1
