export type { CrashAtStep, CrashAtTransition, CrashOperation, CrashPoint } from './crash-points.js';
export { given, type LocalStub, SagaScenario } from './saga-scenario.js';
export {
  type ExpectedCrash,
  SagaTestEnvironment,
  type SagaTestOptions,
  type Services,
} from './saga-test-environment.js';
export type { RunningService, StartService } from './tested-service.js';
