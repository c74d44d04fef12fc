/**
 * What goes wrong in the rows, and the decorators of Nest, called as functions: the files run with any release as they
 * are.
 */
import {
  Catch,
  Inject,
  Injectable,
  Scope,
  UseFilters,
  UseGuards,
  UseInterceptors,
  UsePipes,
} from '@nestjs/common';

export class DomainError extends Error {
  constructor(message, code) {
    super(message);
    this.name = 'DomainError';
    if (code !== undefined) this.code = code;
  }
}

/** Fails as a business handler does. */
export const fail = (message, code) => {
  throw new DomainError(message, code);
};
/** Does the work after the given number of milliseconds. */
export const later = (ms, work) =>
  new Promise((resolve, reject) => {
    setTimeout(() => {
      try {
        resolve(work());
      } catch (error) {
        reject(error);
      }
    }, ms);
  });

/** Guards, pipes, interceptors and filters, each as a decorator of one handler. */
export const guard = (canActivate) => UseGuards({ canActivate });
export const pipe = (transform) => UsePipes({ transform });
export const interceptor = (intercept) => UseInterceptors({ intercept });
export const filter = (caught, handle) => {
  const Filter = class {
    catch(error, host) {
      return handle(error, host);
    }
  };
  Catch(...caught)(Filter);
  return UseFilters(new Filter());
};

/** A provider that is created for each delivery. */
export const scoped = (make, options = { scope: Scope.REQUEST }) => {
  const Provider = class {
    constructor() {
      make?.();
    }

    fail() {
      fail('a request-scoped provider fails');
    }
  };
  Injectable(options)(Provider);
  return Provider;
};

/** A pipe for the whole application. */
export const globalPipe = {
  transform(value) {
    if (value?.poison === true) fail('the global pipe fails');
    return value;
  },
};

/** Injects a row's provider into its controller. */
export const injectInto = (Controller, Provider) => Inject(Provider)(Controller, undefined, 0);
