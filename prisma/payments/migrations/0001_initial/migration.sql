CREATE TABLE "payment" (
    "invoice_no" TEXT PRIMARY KEY,
    "customer_id" TEXT,
    "amount_pence" BIGINT NOT NULL CHECK ("amount_pence" > 0),
    "status" TEXT NOT NULL CHECK ("status" IN ('OPEN', 'AWAITED', 'PAID', 'CLOSED')),
    "method" TEXT CHECK ("method" IN ('CARD', 'TRANSFER')),
    "charge_key" TEXT NOT NULL
);

CREATE TABLE "ledger_entry" (
    "id" BIGSERIAL PRIMARY KEY,
    "kind" TEXT NOT NULL CHECK ("kind" IN ('CHARGE', 'REFUND')),
    "method" TEXT NOT NULL CHECK ("method" IN ('CARD', 'TRANSFER')),
    "invoice_no" TEXT NOT NULL,
    "customer_id" TEXT,
    "amount_pence" BIGINT NOT NULL CHECK ("amount_pence" > 0),
    "reference" TEXT NOT NULL,
    "recorded_at" TIMESTAMPTZ(6) NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX "ledger_entry_invoice_no_idx" ON "ledger_entry" ("invoice_no");

-- Witness of the reconciliation: the steps of sagas that took effect here. No unique key: a double effect must be visible,
-- not refused.
CREATE TABLE "step_effect" (
    "id" BIGSERIAL PRIMARY KEY,
    "saga_id" TEXT NOT NULL,
    "invoice_no" TEXT NOT NULL,
    "step" TEXT NOT NULL,
    "op" TEXT NOT NULL CHECK ("op" IN ('action', 'compensate')),
    "recorded_at" TIMESTAMPTZ(6) NOT NULL DEFAULT clock_timestamp()
);
