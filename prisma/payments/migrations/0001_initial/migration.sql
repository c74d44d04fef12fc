CREATE TABLE "ledger_entry" (
    "id" BIGSERIAL PRIMARY KEY,
    "kind" TEXT NOT NULL CHECK ("kind" IN ('CHARGE', 'DECLINE', 'REFUND')),
    "invoice_no" TEXT NOT NULL,
    "customer_id" TEXT,
    "amount_pence" BIGINT NOT NULL CHECK ("amount_pence" > 0),
    "message_id" TEXT NOT NULL,
    "recorded_at" TIMESTAMPTZ(6) NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX "ledger_entry_invoice_no_idx" ON "ledger_entry" ("invoice_no");

-- Witnesses of the reconciliation. No unique keys: a double effect must be visible, not refused.
CREATE TABLE "published_message" (
    "id" BIGSERIAL PRIMARY KEY,
    "message_id" TEXT NOT NULL,
    "topic" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "published_at" TIMESTAMPTZ(6) NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE "effect" (
    "id" BIGSERIAL PRIMARY KEY,
    "message_id" TEXT NOT NULL,
    "topic" TEXT NOT NULL,
    "partition" INTEGER NOT NULL,
    "log_offset" BIGINT NOT NULL,
    "key" TEXT NOT NULL,
    "processed_at" TIMESTAMPTZ(6) NOT NULL DEFAULT clock_timestamp()
);
