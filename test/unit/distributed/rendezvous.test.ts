import assert from 'node:assert/strict'
import { findRendezvous, planLaunch } from '../../../lib/distributed/rendezvous.js'
import { resolveDistributed } from '../../../lib/distributed/settings.js'
import { checkMachine } from '../../../lib/doctor/machine.js'

const code = 'ERR_INVALID_ARGUMENT'

describe('the rendezvous of a job', () => {
  const variables = { RANK: '3', WORLD_SIZE: '4', MASTER_ADDR: '10.0.0.1', MASTER_PORT: '29500' }

  it('does not exist without a launcher', () => {
    assert.equal(findRendezvous({}), null)
    assert.equal(findRendezvous({ MASTER_ADDR: 'somewhere', LOCAL_RANK: '0' }), null)
  })

  it("comes from PyTorch's variables, as Kubeflow's PyTorchJob sets them", () => {
    assert.deepEqual(findRendezvous(variables), {
      launcher: 'environment',
      rank: 3,
      worldSize: 4,
      localRank: 0,
      masterAddress: '10.0.0.1',
      masterPort: 29500,
      launcherHasStore: false,
      restart: 0,
    })
  })

  it("uses torchrun's store, which is different after each restart", () => {
    const found = findRendezvous({
      ...variables,
      LOCAL_RANK: '1',
      TORCHELASTIC_RUN_ID: 'none',
      TORCHELASTIC_USE_AGENT_STORE: 'True',
      TORCHELASTIC_RESTART_COUNT: '2',
    })
    assert.equal(found?.launcher, 'torchrun')
    assert.equal(found.localRank, 1)
    assert.equal(found.launcherHasStore, true)
    assert.equal(found.restart, 2)
  })

  const slurm = {
    SLURM_PROCID: '1',
    SLURM_NTASKS: '4',
    SLURM_LOCALID: '1',
    SLURM_STEP_ID: '0',
    SLURM_JOB_ID: '123456',
    SLURM_JOB_NODELIST: 'node[03-05,9].cluster,gpu1',
  }

  it("under srun is the step's first machine, with a port for each job", () => {
    assert.deepEqual(findRendezvous(slurm), {
      launcher: 'Slurm',
      rank: 1,
      worldSize: 4,
      localRank: 1,
      masterAddress: 'node03.cluster',
      masterPort: 18456,
      launcherHasStore: false,
      restart: 0,
    })
    const named = { ...slurm, MASTER_ADDR: 'head', MASTER_PORT: '1234', SLURM_STEP_NODELIST: 'gpu1' }
    assert.equal(findRendezvous(named)?.masterAddress, 'head')
    assert.equal(findRendezvous(named)?.masterPort, 1234)
    assert.equal(findRendezvous({ ...slurm, SLURM_STEP_NODELIST: 'gpu1,gpu2' })?.masterAddress, 'gpu1')
    assert.equal(findRendezvous({ ...slurm, SLURM_STEP_NUM_TASKS: '2' })?.worldSize, 2)
  })

  it('does not exist in a Slurm batch script, which runs once', () => {
    assert.equal(findRendezvous({ ...slurm, SLURM_STEP_ID: undefined }), null)
  })

  it('comes from mpirun on one machine; on several, MASTER_ADDR names the first', () => {
    const mpi = {
      OMPI_COMM_WORLD_RANK: '1',
      OMPI_COMM_WORLD_SIZE: '2',
      OMPI_COMM_WORLD_LOCAL_RANK: '1',
      OMPI_COMM_WORLD_LOCAL_SIZE: '2',
    }
    assert.equal(findRendezvous(mpi)?.masterAddress, '127.0.0.1')
    assert.equal(findRendezvous(mpi)?.rank, 1)
    const several = { ...mpi, OMPI_COMM_WORLD_LOCAL_SIZE: '1' }
    assert.throws(() => findRendezvous(several), { code, message: /mpirun -x MASTER_ADDR/ })
    assert.equal(findRendezvous({ ...several, MASTER_ADDR: 'node1' })?.masterAddress, 'node1')
  })

  it('is shown by doctor', () => {
    Object.assign(process.env, variables)
    try {
      assert.equal(checkMachine().job?.rank, 3)
      process.env.RANK = 'x'
      assert.equal(checkMachine().error?.code, code)
    } finally {
      for (const name of Object.keys(variables)) delete process.env[name]
    }
  })

  for (const [what, env, message] of [
    ['without an address', { ...variables, MASTER_ADDR: '' }, /MASTER_ADDR.*not set/],
    ['without a rank', { ...variables, RANK: undefined }, /RANK.*not set/],
    ['of a rank that is not a number', { ...variables, RANK: 'one\u001b[31m' }, /RANK, got 'one\\u\{1b\}/],
    ['of a rank that the job does not have', { ...variables, RANK: '4' }, /below the 4 processes.*got 4/],
    ['of an invalid port', { ...variables, MASTER_PORT: '70000' }, /MASTER_PORT, got '70000'/],
  ] as const) {
    it(`is refused ${what}`, () => assert.throws(() => findRendezvous(env), { code, message }))
  }
})

describe('the processes to launch', () => {
  const machines = { PET_NNODES: '2', PET_NODE_RANK: '1', PET_MASTER_ADDR: 'node-0', PET_NPROC_PER_NODE: '4' }

  it('are only those of this machine without other variables', () => {
    assert.deepEqual(planLaunch({}, 3), { processes: 3, machines: 1, machine: 0, master: null })
    assert.deepEqual(planLaunch({}, 'auto'), { processes: 1, machines: 1, machine: 0, master: null })
  })

  it("come from Kubeflow Trainer's variables", () => {
    const master = { address: 'node-0', port: 29500 }
    assert.deepEqual(planLaunch(machines, 'auto'), { processes: 4, machines: 2, machine: 1, master })
    assert.deepEqual(planLaunch({ ...machines, PET_NNODES: '2:2', PET_MASTER_PORT: '1234' }, 2), {
      ...{ processes: 2, machines: 2, machine: 1 },
      master: { address: 'node-0', port: 1234 },
    })
    assert.equal(planLaunch({ PET_NPROC_PER_NODE: 'gpu' }, 'auto').processes, 1)
  })

  it('are refused if the variables are invalid', () => {
    assert.throws(() => planLaunch({ ...machines, PET_NODE_RANK: '2' }, 1), {
      code,
      message: /PET_NODE_RANK/,
    })
    assert.throws(() => planLaunch({ ...machines, PET_NNODES: '1:2' }, 1), { code, message: /PET_NNODES/ })
    assert.throws(() => planLaunch({ ...machines, PET_MASTER_ADDR: undefined }, 1), {
      code,
      message: /PET_MASTER_ADDR/,
    })
  })
})

describe('the option distributed', () => {
  it('is off by default', () => assert.equal(resolveDistributed(undefined), null))

  it('accepts a rank, with defaults for one machine', () => {
    assert.deepEqual(resolveDistributed({ rank: 1, worldSize: 2, masterPort: 1234 }), {
      rank: 1,
      worldSize: 2,
      masterAddress: '127.0.0.1',
      masterPort: 1234,
      timeout: 300_000,
      hostsStore: true,
      restart: 0,
    })
  })

  for (const [option, message] of [
    [true, /variables of a launcher/],
    ['yes', /distributed: expected true, false or an object/],
    [{ rank: 2, worldSize: 2, masterPort: 1 }, /distributed\.rank: expected an integer from 0 to 1, got 2/],
    [{ rank: 0, worldSize: 2 }, /distributed\.masterPort/],
    [{ rank: 0, worldSize: 2, masterPort: 1, timeout: 0 }, /distributed\.timeout/],
    [{ rank: 0, worldSize: 2, masterPort: 1, port: 1 }, /unknown option 'port'/],
  ] as const) {
    it(`refuses ${JSON.stringify(option)}`, () =>
      assert.throws(() => resolveDistributed(option), { code, message }))
  }
})
