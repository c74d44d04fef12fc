CREATE TABLE "stock" (
    "sku" TEXT PRIMARY KEY,
    "starting_level" INTEGER NOT NULL,
    "level" INTEGER NOT NULL CHECK ("level" >= 0)
);

CREATE TABLE "stock_movement" (
    "id" BIGSERIAL PRIMARY KEY,
    "sku" TEXT NOT NULL REFERENCES "stock" ("sku"),
    "quantity" INTEGER NOT NULL CHECK ("quantity" <> 0),
    "reason" TEXT NOT NULL CHECK ("reason" IN ('RESERVED', 'RELEASED', 'RETURNED')),
    "invoice_no" TEXT NOT NULL,
    "saga_id" TEXT NOT NULL,
    "recorded_at" TIMESTAMPTZ(6) NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX "stock_movement_invoice_no_idx" ON "stock_movement" ("invoice_no");

CREATE TABLE "shipment" (
    "id" BIGSERIAL PRIMARY KEY,
    "invoice_no" TEXT NOT NULL,
    "customer_id" TEXT,
    "recorded_at" TIMESTAMPTZ(6) NOT NULL DEFAULT clock_timestamp(),
    "dispatched_at" TIMESTAMPTZ(6)
);
CREATE INDEX "shipment_invoice_no_idx" ON "shipment" ("invoice_no");

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

-- The same for messages.
CREATE TABLE "effect" (
    "id" BIGSERIAL PRIMARY KEY,
    "message_id" TEXT NOT NULL,
    "topic" TEXT NOT NULL,
    "partition" INTEGER NOT NULL,
    "log_offset" BIGINT NOT NULL,
    "key" TEXT NOT NULL,
    "processed_at" TIMESTAMPTZ(6) NOT NULL DEFAULT clock_timestamp()
);
