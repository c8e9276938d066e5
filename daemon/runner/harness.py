"""What a runner can do with its one kernel: load it, call it, hand its tensors over, run bursts of it.

The harness answers honestly, but nothing depends on that: the user's code shares this process and may rewrite
any of it. Whatever decides (expected outputs, seeds of the inputs, comparison, clock) is the judge's.
"""

from __future__ import annotations

import gc
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from kbd.backends.artifact_archive import ARTIFACT_FOLDER
from kbd.backends.artifact_archive import unpack as unpack_artifact
from kbd.backends.base import Artifact, CompileRequest, Executable, LoadContext, Target
from kbd.backends.launches import LaunchRecord, record_launches
from kbd.backends.registry import backend_for
from kbd.daemon.executor import runner_protocol
from kbd.daemon.executor.doorbell import STOP, Doorbell
from kbd.daemon.executor.protocol import DeviceTarget
from kbd.daemon.executor.runner_protocol import LaunchSeen
from kbd.daemon.executor.shared_memory import map_arena, tensor_at, unmap_arena
from kbd.daemon.executor.tensor_messages import Slot, TensorMeta, Values
from kbd.daemon.runner.bursts import Bursts, Kept
from kbd.daemon.runner.copying import can_copy, copy_to, in_order_of_stream
from kbd.daemon.runner.overlaps import overlaps_of
from kbd.daemon.runner.precision import Float64Form
from kbd.daemon.runner.screening import notes_on
from kbd.daemon.runner.timed_sets import TimedSets, same_view
from kbd.daemon.runner.values import pack, pack_values, tensors_in, unpack
from kbd.inbox.bound_contract import BoundContract

NAME_CHARS = 256
MAX_NOTES = 16
# Nobody rings for so long only when the judge is gone; the daemon kills this process then.
DESERTED_S = 300.0


class Harness:
    """Hosts one kernel. Every method answers one message of the judge's."""

    def __init__(self, device: DeviceTarget, folder: Path) -> None:
        self._target = Target(kind=device.kind, arch=device.arch)
        self._device = torch.device(device.torch_name)
        self.source = ""
        """Of the kernel, as its author wrote it."""
        self._folder = folder
        self._artifact: Artifact | None = None
        self._kernel: Executable | None = None
        self._arenas: dict[int, torch.Tensor] = {}
        self._sets: dict[int, tuple[list[Any], list[torch.Tensor]]] = {}
        self._bound: dict[int, runner_protocol.Bind] = {}
        self._made: dict[str, list[torch.Tensor]] = {}
        self._precise = Float64Form()
        self._bursts: Bursts | None = None
        self._timed_sets: TimedSets | None = None
        self._timed_forms: tuple[TensorMeta, ...] = ()
        self._contracts: tuple[BoundContract, ...] = ()
        self._workload: int | None = None

    @property
    def kernel(self) -> Executable:
        """The loaded kernel."""
        if self._kernel is None:
            raise RuntimeError("no kernel is loaded")
        return self._kernel

    def forget_job(self, message: runner_protocol.ForgetJob) -> runner_protocol.Okay:
        """Let go of the kernel and of all memory that the judge lent."""
        del message
        self._bursts = self._timed_sets = self._kernel = self._artifact = self._workload = None
        self._precise, self._contracts, self.source = Float64Form(), (), ""
        for held in (self._sets, self._bound, self._made):
            held.clear()
        gc.collect()
        self._synchronize()
        while self._arenas:
            unmap_arena(self._arenas.popitem()[1])
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        return runner_protocol.Okay()

    def take_artifact(
        self, message: runner_protocol.TakeArtifact, descriptors: list[int]
    ) -> runner_protocol.Okay:
        """Unpack what a compiler made of the kernel, into a folder of this runner's own."""
        (descriptor,) = descriptors
        folder = self._folder / ARTIFACT_FOLDER
        try:
            folder.mkdir(mode=0o700)
            unpack_artifact(descriptor, message.nbytes, folder)
        finally:
            os.close(descriptor)
        self._artifact = Artifact.read(folder)
        return runner_protocol.Okay()

    def load(self, message: runner_protocol.Load) -> runner_protocol.Loaded:
        """Compile what no compiler has, import, construct."""
        self.source = message.kernel.source_code
        notes = notes_on(message.kernel.source_code) if message.role == "candidate" else ()
        started = time.perf_counter()
        backend = backend_for(message.kernel.kernel_type)
        request = CompileRequest(message.kernel, self._target, message.contracts)
        artifact = self._artifact or backend.compile(request, self._folder)
        context = LoadContext(
            kernel=message.kernel,
            role=message.role,
            device=self._device,
            contracts=message.contracts,
            init_seed=message.init_seed,
            init_inputs=self._given_init_inputs(message),
        )
        self._kernel = backend.load(artifact, context)
        self._precise = Float64Form(self._kernel)
        self._contracts, self._workload = message.contracts, None
        self._synchronize()
        values = self._keep("init_inputs", self._kernel.init_inputs) if message.init_inputs is None else None
        return runner_protocol.Loaded(
            setup_us=(time.perf_counter() - started) * 1e6,
            makes_inputs=self._kernel.makes_inputs,
            takes_outputs=self._kernel.takes_outputs,
            interpreted=self._kernel.interpreted,
            init_inputs=values,
            notes=notes[:MAX_NOTES],
        )

    def _given_init_inputs(self, message: runner_protocol.Load) -> list[Any] | None:
        if message.init_inputs is None:
            return None
        tensors = [self._tensor(slot).clone() for slot in message.init_slots]
        return list(unpack(message.init_inputs.tree, tensors))

    def map(self, message: runner_protocol.Map, descriptors: list[int]) -> runner_protocol.Okay:
        """Map memory that the judge lends."""
        self._arenas[message.arena] = map_arena(message.nbytes, message.handle, descriptors)
        return runner_protocol.Okay()

    def bind(self, message: runner_protocol.Bind) -> runner_protocol.Okay:
        """Remember an input set; its tensors stay where the judge put them."""
        self._bursts = None
        self._enter(message.workload)
        self._bound[message.index] = message
        self._sets[message.index] = self._arguments(message)
        return runner_protocol.Okay()

    def _arguments(self, bound: runner_protocol.Bind) -> tuple[list[Any], list[torch.Tensor]]:
        """Inputs and output buffers, as new tensor objects."""
        tensors = [self._tensor(slot) for slot in bound.slots]
        outputs = [self._tensor(slot) for slot in bound.outputs]
        return list(unpack(bound.values, tensors)), outputs

    def _enter(self, workload: int) -> None:
        """Put the workload's contract in force."""
        if self._kernel is not None and self._contracts and workload != self._workload:
            self._kernel.bind(self._contracts[workload])
            self._workload = workload

    def make_inputs(self, message: runner_protocol.MakeInputs) -> runner_protocol.Made:
        """Let the module make its inputs; the judge copies them and decides who gets them."""
        return runner_protocol.Made(values=self._keep("inputs", self.kernel.make_inputs(message.seed)))

    def run(self, message: runner_protocol.Run) -> runner_protocol.Ran:
        """Call the kernel once; before that, if asked, its float64 form."""
        inputs, outputs = self._intact(message.index)
        found = self._run_precisely(inputs) if message.precisely else {}
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        returned = self.kernel(inputs, outputs)
        peak = torch.cuda.max_memory_allocated(self._device) if self._device.type == "cuda" else None
        values = self._keep("outputs", returned)
        overlaps = overlaps_of(self._made["outputs"], tensors_in(inputs))
        if self._device.type == "cuda":
            self._made["outputs"] = in_order_of_stream(self._made["outputs"], outputs)
        self._synchronize()
        return runner_protocol.Ran(
            values=values.model_copy(update={"overlaps": overlaps}),
            peak_bytes=peak,
            exported=tuple(self._export_expected(message)),
            **found,
        )

    def _intact(self, index: int) -> tuple[list[Any], list[torch.Tensor]]:
        """The arguments of a set; made anew where a kernel has reshaped or redirected a tensor in place."""
        bound, (inputs, outputs) = self._bound[index], self._sets[index]
        tree, tensors = pack(inputs)
        wanted = [self._tensor(slot) for slot in (*bound.slots, *bound.outputs)]
        if tree != bound.values or not all(map(same_view, [*tensors, *outputs], wanted)):
            self._sets[index] = self._arguments(bound)
        return self._sets[index]

    def _run_precisely(self, inputs: list[Any]) -> dict[str, Any]:
        """What the float64 form makes of copies of the inputs, or why there is none."""
        self._made.pop("precise", None)
        try:
            returned = self._precise.call(inputs)
            self._synchronize()
            return {"precise": self._keep("precise", returned)}
        except Exception as error:  # noqa: BLE001 - whatever it raises, the kernel as it is still counts
            if self._device.type == "cuda":
                torch.cuda.empty_cache()
            return {"imprecise": f"{type(error).__name__}: {error}".splitlines()[0][:500]}

    def _export_expected(self, message: runner_protocol.Run) -> Iterator[Literal["outputs", "precise"]]:
        """Copy results into the slots that were made for them."""
        wanted: tuple[tuple[Literal["outputs", "precise"], tuple[Slot, ...]], ...] = (
            ("outputs", message.outputs),
            ("precise", message.precise),
        )
        for what, slots in wanted:
            made = self._made.get(what, [])
            if slots and [tuple(tensor.shape) for tensor in made] == [slot.meta.shape for slot in slots]:
                self._copy_out(made, slots)
                yield what

    def launches(self, message: runner_protocol.Launches) -> runner_protocol.Launched:
        """Call the kernel once more and tell what it launches."""
        counts = Counter(record_launches(self.kernel.call_on(*self._sets[message.index]), self._device))
        seen = [_told(launch, count, self.kernel.resources) for launch, count in counts.items()]
        return runner_protocol.Launched(launches=tuple(seen[: runner_protocol.MAX_LAUNCHES]))

    def export(self, message: runner_protocol.Export) -> runner_protocol.Okay:
        """Copy what was made last to where the judge can read it."""
        self._copy_out(self._made[message.what], message.slots)
        return runner_protocol.Okay()

    def _copy_out(self, tensors: Sequence[torch.Tensor], slots: Sequence[Slot]) -> None:
        with torch.inference_mode():
            for tensor, slot in zip(tensors, slots, strict=True):
                target = self._tensor(slot)
                if can_copy(target, tensor):
                    copy_to(target, tensor)
                else:
                    target.copy_(tensor)
        self._synchronize()

    def bind_sets(self, message: runner_protocol.BindSets) -> runner_protocol.SetsBound:
        """Remember the input sets of the bursts to come, one call each; tries out the first."""
        self._enter(message.workload)
        sets = self._timed_sets = TimedSets(self.kernel, message, self._tensor)
        self._bursts = Bursts(sets.calls, self._device, sets.renewed, sets.addresses)
        values, returned = pack_values(sets.calls[0]())
        in_place = [tensor.data_ptr() for tensor in returned] == sets.output_addresses(0)
        self._bursts.warm_up()
        self._timed_forms = values.tensors
        return runner_protocol.SetsBound(outputs=values.tensors, in_place=in_place)

    def prepare(self, message: runner_protocol.Prepare) -> runner_protocol.Prepared:
        """Capture (or just remember) the bursts that the judge will ask for."""
        bursts = self._prepared_bursts()
        assert self._timed_sets is not None
        kept = self._timed_sets.places(message.kept, message.kept_stride, message.kept_sets)
        prepared = bursts.prepare(message.bursts, message.method, kept)
        return prepared.model_copy(update=bursts.exposed(self._timed_forms)) if message.expose else prepared

    def burst(self, message: runner_protocol.Burst) -> runner_protocol.Done:
        """Run one burst to its end."""
        bursts = self._prepared_bursts()
        claimed_ns = bursts.run(message.index, keep=message.keep)
        bursts.restore(message.index)
        found = bursts.found if message.keep else Kept()
        return runner_protocol.Done(
            claimed_us=claimed_ns / 1e3, unfit=tuple(found.unfit), views=tuple(found.views)
        )

    def listen(self, message: runner_protocol.Listen, descriptors: list[int]) -> runner_protocol.Okay:
        """Run bursts as a doorbell asks for them, until it says stop."""
        del message
        page, *waker = descriptors
        bell, bursts = Doorbell(page, *waker), self._prepared_bursts()
        os.close(page)
        bell.listen()
        while True:
            burst, keep = bell.wait(DESERTED_S)
            if burst == STOP:
                bell.close()
                return runner_protocol.Okay()
            claimed_ns = bursts.run(burst, keep=keep)
            found = bursts.found if keep else Kept()
            bell.answer(claimed_ns, found.unfit, views=bool(found.views))
            bursts.restore(burst)

    def _prepared_bursts(self) -> Bursts:
        if self._bursts is None:
            raise RuntimeError("no input sets are bound")
        return self._bursts

    def _keep(self, what: str, value: Any) -> Values:
        values, self._made[what] = pack_values(value)
        return values

    def _tensor(self, slot: Slot) -> torch.Tensor:
        return tensor_at(self._arenas[slot.arena], slot)

    def _synchronize(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def _told(launch: LaunchRecord, count: int, resources: Mapping[str, Mapping[str, int]]) -> LaunchSeen:
    """A launch with what the compiler said of its kernel; names of templates are longer than anybody reads."""
    known = {name: value for name, value in vars(launch).items() if value is not None}
    known |= {"kernel": launch.kernel[:NAME_CHARS], "config": dict(launch.config) if launch.config else None}
    return LaunchSeen(count=count, **(dict(resources.get(launch.kernel, {})) | known))
