export { aesCipher, type AesCipherOptions, type CipherSecret } from './aes-cipher.js';
export { type Cipher, type CipherContext, contextBytes } from './cipher.js';
export { isEnvelope, readEnvelope, subjectKeyIdOf } from './envelope.js';
export {
  isSealedRecord,
  type OpenedRecord,
  openMessage,
  openRecord,
  plainRecord,
  readableMessage,
  type SealedMessage,
  sealMessage,
  whyUnreadable,
} from './sealed-message.js';
export { type SealedLocation, Sealer, type SealerOptions, type SealOptions } from './sealer.js';
export { subjectHash, type SubjectKey } from './subject-keys.js';
export { type FoundKey, type LogSubjectKeys, type WrappedKey } from './wrapped-key.js';
