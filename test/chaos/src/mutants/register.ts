import { register } from 'node:module';
import { reportPlanted } from './report-planted.js';

// Started with `--import` in processes of the load: replaces the texts that the environment names, before the product is loaded.
register('./loader.js', import.meta.url, { data: process.env['WAYBILL_CHAOS_PLANTINGS'] });
// What is planted calls it.
Object.assign(globalThis, { reportPlanted });
