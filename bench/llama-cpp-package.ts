import type { PeerPackage } from './project.ts';

/** llama.cpp with a binary built for this platform. */
export const LLAMA_CPP: PeerPackage = { name: 'node-llama-cpp', version: '3.22.1', entry: 'dist/index.js' };
