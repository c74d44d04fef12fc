import { Inject, Injectable } from '@nestjs/common';
import { SHOP_CONFIG, type ShopConfig } from '../shop-config.js';

/** What the gateway is to charge. */
export interface CardCharge {
  readonly invoiceNo: string;
  readonly customerId: string | null;
  readonly amountPence: number;
}

/** What became of a charge: the money is there, or the customer pays by bank transfer. */
export type ChargeAnswer = 'charged' | 'awaited';

/** The gateway did not answer, or not with a yes or a no. Whether it has charged is unknown: ask again with the same key. */
export class GatewayUnavailableError extends Error {
  override readonly name = 'GatewayUnavailableError';
}

const ANSWER_MS = 5_000;

/**
 * Charges cards by a gateway outside the shop, over HTTP. That call is no part of the handler's transaction and may be
 * made again, so each carries an idempotency key: the message's id, which is the same at every attempt.
 */
@Injectable()
export class CardGateway {
  constructor(@Inject(SHOP_CONFIG) private readonly config: ShopConfig) {}

  /** @throws GatewayUnavailableError */
  async charge(charge: CardCharge, idempotencyKey: string, signal: AbortSignal): Promise<ChargeAnswer> {
    const { gatewayUrl } = this.config;
    if (gatewayUrl === undefined) return 'charged';
    let response: Response;
    try {
      response = await fetch(`${gatewayUrl}/charges`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': idempotencyKey },
        body: JSON.stringify(charge),
        signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]),
      });
      await response.arrayBuffer();
    } catch (cause) {
      throw new GatewayUnavailableError(`the gateway did not answer for ${charge.invoiceNo}`, { cause });
    }
    if (response.status === 201) return 'charged';
    if (response.status === 202) return 'awaited';
    throw new GatewayUnavailableError(`the gateway answered ${response.status} for ${charge.invoiceNo}`);
  }
}
