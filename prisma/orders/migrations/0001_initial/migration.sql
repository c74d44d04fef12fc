CREATE TABLE "customer_order" (
    "invoice_no" TEXT PRIMARY KEY,
    "customer_id" TEXT,
    "country" TEXT,
    "placed_at" TIMESTAMPTZ(3),
    "status" TEXT NOT NULL CHECK ("status" IN ('PLACED', 'CONFIRMED', 'REJECTED', 'CANCELLING', 'REFUNDED')),
    "total_pence" BIGINT NOT NULL CHECK ("total_pence" > 0),
    "rejection" TEXT,
    "request_hash" TEXT NOT NULL,
    "recorded_at" TIMESTAMPTZ(6) NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE "order_line" (
    "invoice_no" TEXT NOT NULL REFERENCES "customer_order" ("invoice_no"),
    "line_no" INTEGER NOT NULL,
    "sku" TEXT NOT NULL,
    "description" TEXT,
    "quantity" INTEGER NOT NULL CHECK ("quantity" > 0),
    "unit_price_pence" INTEGER NOT NULL CHECK ("unit_price_pence" > 0),
    PRIMARY KEY ("invoice_no", "line_no")
);

CREATE TABLE "order_transition" (
    "id" BIGSERIAL PRIMARY KEY,
    "invoice_no" TEXT NOT NULL,
    "from_status" TEXT NOT NULL,
    "to_status" TEXT NOT NULL,
    "saga_id" TEXT,
    "recorded_at" TIMESTAMPTZ(6) NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX "order_transition_invoice_no_idx" ON "order_transition" ("invoice_no");

CREATE TABLE "return_note" (
    "invoice_no" TEXT PRIMARY KEY,
    "customer_id" TEXT,
    "country" TEXT,
    "placed_at" TIMESTAMPTZ(3),
    "status" TEXT NOT NULL CHECK ("status" IN ('RETURNED', 'REFUNDED')),
    "total_pence" BIGINT NOT NULL CHECK ("total_pence" > 0),
    "request_hash" TEXT NOT NULL,
    "recorded_at" TIMESTAMPTZ(6) NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE "return_line" (
    "invoice_no" TEXT NOT NULL REFERENCES "return_note" ("invoice_no"),
    "line_no" INTEGER NOT NULL,
    "sku" TEXT NOT NULL,
    "description" TEXT,
    "quantity" INTEGER NOT NULL CHECK ("quantity" > 0),
    "unit_price_pence" INTEGER NOT NULL CHECK ("unit_price_pence" > 0),
    PRIMARY KEY ("invoice_no", "line_no")
);

-- Witnesses of the reconciliation. No unique keys: a double effect must be visible, not refused.
CREATE TABLE "published_message" (
    "id" BIGSERIAL PRIMARY KEY,
    "message_id" TEXT NOT NULL,
    "topic" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "published_at" TIMESTAMPTZ(6) NOT NULL DEFAULT clock_timestamp()
);

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
