"""What vendors keep for tenants (files, batches, stored responses): who owns it, where it lives, what it used."""
