import { register } from 'node:module';

// Started with `--import` in processes of the load: replaces the texts that the environment names, before the product is loaded.
register('./loader.js', import.meta.url, { data: process.env['WAYBILL_CHAOS_PLANTINGS'] });
