"""Usage, cost reports and invoices: read strictly, kept exactly, visible in the store only when they are whole."""

from analytics.invoices.errors import InvoiceInvalid
from analytics.invoices.landing import Import, import_file, preview_file

__all__ = ["Import", "InvoiceInvalid", "import_file", "preview_file"]
