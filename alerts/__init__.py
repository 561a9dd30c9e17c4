"""Who must know: rules over live figures, incidents, channels, and the reports that are sent by schedule."""
