"""What calls cost: prices applied, holds, records, reports."""
