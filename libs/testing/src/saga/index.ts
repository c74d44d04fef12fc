export { given, type LocalStub, SagaScenario } from './saga-scenario.js';
