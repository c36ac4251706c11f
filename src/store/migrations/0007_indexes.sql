-- Indexes for what looked through whole tables that strangers and people fill.

-- The clients that operators added: every consent page compares names with theirs.
CREATE INDEX client_of_operator ON client (tenant, no) WHERE origin = 'manual';

-- The clients that came by themselves, by last use: the sweep looks for those that nobody uses.
CREATE INDEX client_by_last_use ON client (last_used_at, created_at) WHERE origin <> 'manual';

-- What ends with the access of one account.
CREATE INDEX code_of_account ON code (account_no) WHERE used_at IS NULL;
DROP INDEX grants_of_account;
CREATE INDEX grants_of_account ON grants (account_no, client_no);

CREATE INDEX setup_link_by_end ON setup_link (expires_at);
