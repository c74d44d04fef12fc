import { Inject, Injectable } from '@nestjs/common';
import { type EffectQueryResult, type EffectCall, ExternalEffects } from '@waybill/guard';
import { SHOP_CONFIG, type ShopConfig } from '../shop-config.js';

/** The amount for the gateway to charge, or to pay out. */
export interface CardMovement {
  readonly invoiceNo: string;
  readonly customerId: string | null;
  readonly amountPence: number;
}

/** The gateway's result: the money has moved, or the customer pays by bank transfer. */
interface Receipt {
  readonly state: 'charged' | 'awaited' | 'refunded';
}

/** The operations on a card. */
type Movement = 'charges' | 'refunds';

/** The gateway gave no definite response: whether it has moved money is unknown. */
export class GatewayUnavailableError extends Error {
  override readonly name = 'GatewayUnavailableError';
}

/** Time limit for the gateway's response, and the pause after a missing one, in milliseconds. */
export const GATEWAY_LIMITS = { timeoutMs: 450, leaseMs: 900, undoWaitMs: 5_000 } as const;

/**
 * Moves money by a gateway outside the shop, over HTTP. Its work is not in a transaction, so each movement is an
 * external effect: the attempt is on disk before the call, the gateway is queried about what a crash or a time-out has
 * left open, and each movement has a key under which it happens once.
 */
@Injectable()
export class CardGateway {
  constructor(
    @Inject(SHOP_CONFIG) private readonly config: ShopConfig,
    @Inject(ExternalEffects) private readonly effects: ExternalEffects,
  ) {}

  /**
   * Charges under `key`; `awaited` when the customer pays by bank transfer instead. @throws EffectUnknownError and the
   * like
   */
  async charge(key: string, charge: CardMovement): Promise<'charged' | 'awaited'> {
    const { state } = await this.effects.run<Receipt>({
      key,
      attempt: (call) => this.post('charges', call, charge),
      query: (call) => this.ask(call),
    });
    return state === 'awaited' ? state : 'charged';
  }

  /**
   * Pays back what was charged under `key`, or ensures that nothing is charged under it later.
   * @returns whether there was a charge to pay back
   */
  async takeBack(key: string, charge: CardMovement): Promise<boolean> {
    const undone = await this.effects.undo<Receipt, Receipt>({
      key,
      query: (call) => this.ask(call),
      undo: async ({ outcome, ...call }) =>
        outcome.state === 'awaited' ? outcome : this.post('refunds', call, charge),
    });
    return undone.state === 'undone' && undone.outcome.state === 'refunded';
  }

  /** Pays money out under `key`, for a sale that may be older than these books. */
  async payOut(key: string, refund: CardMovement): Promise<void> {
    await this.effects.run<Receipt>({
      key,
      attempt: (call) => this.post('refunds', call, refund),
      query: (call) => this.ask(call),
    });
  }

  private async post(
    movement: Movement,
    { idempotencyKey, signal }: EffectCall,
    body: CardMovement,
  ): Promise<Receipt> {
    const { gatewayUrl } = this.config;
    if (gatewayUrl === undefined) return { state: movement === 'charges' ? 'charged' : 'refunded' };
    const headers = {
      'content-type': 'application/json',
      'idempotency-key': idempotencyKey,
      // A request that is still in a buffer must not be carried out after the gateway was queried about it.
      'x-valid-until': String(Date.now() + GATEWAY_LIMITS.timeoutMs),
    };
    const response = await fetch(`${gatewayUrl}/${movement}`, {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
      signal,
    });
    return receiptOf(response);
  }

  private async ask({ idempotencyKey, signal }: EffectCall): Promise<EffectQueryResult<Receipt>> {
    const { gatewayUrl } = this.config;
    if (gatewayUrl === undefined) return { state: 'not-done' };
    const response = await fetch(`${gatewayUrl}/charges/${encodeURIComponent(idempotencyKey)}`, { signal });
    if (response.status === 404) return { state: 'not-done' };
    // In progress: it may or may not happen.
    if (response.status === 409) return { state: 'unknown' };
    return { state: 'done', outcome: await receiptOf(response) };
  }
}

async function receiptOf(response: Response): Promise<Receipt> {
  const text = await response.text();
  if (!response.ok) throw new GatewayUnavailableError(`the gateway responded with ${response.status}`);
  return JSON.parse(text) as Receipt;
}
