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
    "message_id" TEXT NOT NULL,
    "recorded_at" TIMESTAMPTZ(6) NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX "stock_movement_invoice_no_idx" ON "stock_movement" ("invoice_no");

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
