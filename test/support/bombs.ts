/** Compressed bodies that are far larger than they look, where our own encoders make none. */
import { Buffer } from 'node:buffer';
import { inflateSync } from 'node:zlib';

/** `lzma.compress(bytes(32 << 20))` of Python 3.11, deflated once more. */
const xzOf32MiB = [
  'eNr7a14VEcXAwPLs2hY3JgZFRjEGBoYS/aeL//8XZMyJZWDI//v//+Lt/93tPESLLBMDd0zSeLa4jf3nuydyTZf1j1rZMHpvrDvZ1eWrv5j3Zv',
  '2yxz3KgsEPIiWOlnY9Kv+xbUo9T9aBeyWeKY9exgRvYrnx3YVndTxvrtvLp4fLOrZPC1+zzfdhpmz+b+8OgRyn0x32MQz9F/zWq2lMKZS37Vd5',
  'WDBvuXL8G43TrRenzuiq05r4Sb30u+QBthm+M/7eWH91Av8R1eAfXyeaGbIu3fAu/2CBrzvPxYmCq9YmyO46t1FdIiay7WVaUMS+l2VrIp88jW',
  'bl+Hn81to/v4O0S87KRSs4/bwbbPtDM4XTuuG0Vs79rdYfjuzVi1/Fb+ed5jRBmO+/wOQfhRWRP7jP/p+q4ca/8k/Nvd+zDPTCDvS3fm5uPJBK',
  'Zav3eKg/i5j/X4BRm+FNcfDyv/vW1RhKzd/ea5g3csKANKsD+e03jQbYaICNBthogI0G2GiAjQbYaICNBthogI0G2GiAjQbYaICNBthogA2uAG',
  'vge8fAxvCgj3EnAxBYfz96dF/45G0MjJ/VGhoaBKIcukw2Hkn/zQSSZImMAgDyytU+',
].join('');

/** 320 MB of zeroes by xz: one stream after another. */
export function xzBomb(): Buffer {
  return Buffer.concat(Array(10).fill(inflateSync(Buffer.from(xzOf32MiB, 'base64'))));
}
