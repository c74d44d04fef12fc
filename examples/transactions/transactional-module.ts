import { ClsPluginTransactional, TransactionHost } from '@nestjs-cls/transactional';
import { TransactionalAdapterTypeOrm } from '@nestjs-cls/transactional-adapter-typeorm';
import { type DynamicModule, type Type } from '@nestjs/common';
import { joinDeliveries, typeormTransactions, WaybillModule } from '@waybill/nestjs';
import { ClsModule } from 'nestjs-cls';
import { DataSource } from 'typeorm';

/** @param database the module that exports the DataSource */
export const modules = (database: Type, connectionString: string): DynamicModule[] => [
  ClsModule.forRoot({
    global: true,
    plugins: [
      new ClsPluginTransactional({
        imports: [database],
        adapter: joinDeliveries(new TransactionalAdapterTypeOrm({ dataSourceToken: DataSource })),
      }),
    ],
  }),
  WaybillModule.forRootAsync({
    imports: [database],
    inject: [DataSource, TransactionHost],
    useFactory: (dataSource: DataSource, transactionHost: TransactionHost) => ({
      database: { connectionString },
      group: 'orders',
      transactions: typeormTransactions(dataSource),
      transactionHost,
    }),
  }),
];
