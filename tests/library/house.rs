//! Holds the house together without a GPU: every op in its four places, every kernel valid, within
//! WebGPU's default limits and its iteration budget, and translatable for every vendor.

use std::collections::BTreeSet;
use std::path::Path;

use gpu_siamese::cpu::FUNCTIONS;
use gpu_siamese::data::Shape;
use gpu_siamese::gpu::reflect::{self, Entry};
use gpu_siamese::graph::{Graph, Initializer, Op};
use gpu_siamese::loss::{
    BatchHard, Classes, CrossEntropy, Definition, Episodes, Inputs, Loss, NtXent, PairDistance,
};
use gpu_siamese::model::sircnn::Attention;
use gpu_siamese::model::{ModelOptions, network};
use gpu_siamese::ops::contrastive::Convention;
use gpu_siamese::ops::elementwise::Function;
use gpu_siamese::ops::reduction::Reduction;
use gpu_siamese::ops::{
    self, Access, BufferId, Constant, FUSED_WORKGROUP, ITERATION_BUDGET, Layout, STEMS, Stem, Step,
    WORKGROUP, trunk,
};
use gpu_siamese::parity::cases;
use gpu_siamese::plan::{
    BatchLayout, OptimizerOptions, Phase, Plan, PlanKind, PlanOptions, SgdOptions, Slot, build,
};
use naga::back;

fn text(stem: &Stem) -> String {
    reflect::source(ops::COMMON_WGSL, stem.wgsl)
}

fn entries(stem: &Stem) -> Vec<Entry> {
    reflect::entries(&text(stem)).unwrap_or_else(|error| panic!("{}: {error}", stem.name))
}

/// File names without their ending in a folder of the crate.
fn stems_in(folder: &str, ending: &str) -> BTreeSet<String> {
    std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(ending).map(str::to_string))
        .collect()
}

#[test]
fn every_stem_stands_in_all_four_places() {
    let known: BTreeSet<String> = STEMS.iter().map(|stem| stem.name.to_string()).collect();
    let mut shaders = stems_in("shaders", ".wgsl");
    assert!(shaders.remove("common"));
    assert_eq!(shaders, known, "shaders/");
    let mut ops = stems_in("src/ops", ".rs");
    assert!(ops.remove("mod"));
    assert_eq!(ops, known, "src/ops/");
    for folder in ["src/cpu", "src/parity"] {
        let files = stems_in(folder, ".rs");
        assert!(known.is_subset(&files), "{folder} lacks {:?}", known.difference(&files));
    }
}

#[test]
fn shaders_and_cpu_have_the_same_functions() {
    let functions: BTreeSet<(String, String)> =
        FUNCTIONS.iter().map(|(op, entry)| (op.to_string(), entry.to_string())).collect();
    let kernels: BTreeSet<(String, String)> = STEMS
        .iter()
        .flat_map(|stem| entries(stem).into_iter().map(|entry| (stem.name.to_string(), entry.name)))
        .collect();
    assert_eq!(functions, kernels);
    let cases: BTreeSet<(String, String)> =
        cases(Layout::Plain).iter().map(|case| (case.op.to_string(), case.entry.to_string())).collect();
    assert_eq!(cases, kernels, "parity cases");
}

#[test]
fn every_stem_is_found_in_a_plan_of_the_main_job() {
    let used: BTreeSet<_> = steps_of_plans().into_iter().map(|step| step.op).collect();
    let known: BTreeSet<_> = STEMS.iter().map(|stem| stem.name).collect();
    assert_eq!(used, known);
}

/// Steps of the main job's plans, of every kind and with every option that brings ops of its own, and of a
/// classifier's, a residual network's and one with attention.
fn steps_of_plans() -> Vec<Step> {
    let input = Shape { channels: 1, height: 28, width: 28 };
    let siamese = network("sn-lenet5", input, &ModelOptions::default()).unwrap();
    let usual = crate::common::sn_lenet5_as(
        PlanKind::Unfused,
        &ModelOptions::default(),
        Convention::Similarity,
        Layout::Plain,
        (8, 1),
        usize::MAX / 8,
    );
    let usual = usual.options;
    let variants = [
        usual,
        PlanOptions { kind: PlanKind::Fused, ..usual },
        PlanOptions { kind: PlanKind::Blocked, ..usual },
        PlanOptions { augment: true, ..usual },
        PlanOptions { optimizer: OptimizerOptions::Sgd(SgdOptions::default()), ..usual },
    ];
    let plans = variants.map(|options| build(&siamese, &options).unwrap());
    let classifier = network("lenet5", input, &ModelOptions::default()).unwrap();
    let labelled = PlanOptions { batch: BatchLayout::Labelled, loss: Loss::of(&Classes), ..usual };
    let losses = [Loss::of(&CrossEntropy), Loss::of(&Episodes).with("way", 4.0)].map(|loss| {
        let comparison = loss.comparison(PairDistance::EUCLIDEAN);
        let options = ModelOptions { comparison, ..ModelOptions::default() };
        build(&network("sn-lenet5", input, &options).unwrap(), &PlanOptions { loss, ..usual }).unwrap()
    });
    // Losses of primitives, over micro-batches that come together; one of them is nobody's but the test's.
    let composed = [Loss::of(&NtXent), Loss::of(&BatchHard), Loss::of(&OfClasses)].map(|loss| {
        let options = PlanOptions { batch: BatchLayout::Labelled, loss, max_binding: 64 << 10, ..usual };
        build(&siamese, &options).unwrap()
    });
    let plans: Vec<Plan> = plans
        .into_iter()
        .chain(composed)
        .chain(build(&classifier, &labelled))
        .chain([residual_plan(), attentive_plan()])
        .chain(losses)
        .collect();
    let phases = |plan: &Plan| Plan::phases().map(|phase: Phase| plan.steps(phase).to_vec());
    plans.iter().flat_map(phases).flatten().collect()
}

/// Squared distance to a learned row of the image's class, of normed embeddings.
struct OfClasses;

impl Definition for OfClasses {
    fn name(&self) -> &'static str {
        "of-classes"
    }

    fn batch(&self) -> BatchLayout {
        BatchLayout::Labelled
    }

    fn build(&self, _: &Loss, graph: &mut Graph, inputs: Inputs) {
        let normed = graph.layer_norm("loss.norm", inputs.embedding, 1e-5);
        let centres = graph.parameter("loss.centres", &[10, 84], Initializer::Constant(0.0));
        let own = graph.apply("centres", Op::Take, &[centres]);
        let difference = graph.subtract(normed, own);
        let square = graph.unary(Function::Square, 0.0, difference);
        let loss = graph.reduce_all(Reduction::Mean, square);
        let none = graph.number(0.0);
        graph.apply("record", Op::Record, &[loss, none]);
    }
}

fn residual_plan() -> Plan {
    crate::common::residual(&ModelOptions::default(), Layout::Plain, (8, 1), usize::MAX / 8)
}

fn attentive_plan() -> Plan {
    let attention = Attention::AcrossChannels;
    crate::common::attentive(&ModelOptions::default(), attention, Layout::Plain, (8, 1), usize::MAX / 8)
}

/// Steps of the main job's plans and of all cases.
fn steps() -> Vec<Step> {
    let of_cases = cases(Layout::Plain).into_iter().flat_map(|case| case.steps);
    steps_of_plans().into_iter().chain(of_cases).collect()
}

fn stem_of(step: &Step) -> &'static Stem {
    STEMS.iter().find(|stem| stem.name == step.op).unwrap()
}

#[test]
fn steps_and_shaders_agree_on_operands() {
    for step in steps() {
        let entry = entries(stem_of(&step)).into_iter().find(|entry| entry.name == step.entry).unwrap();
        let declared: BTreeSet<(String, bool)> =
            entry.bindings.into_iter().map(|binding| (binding.name, binding.read_only)).collect();
        let given: BTreeSet<(String, bool)> = step
            .operands
            .iter()
            .map(|operand| (operand.name.to_string(), operand.access == Access::Read))
            .collect();
        assert_eq!(given, declared, "{}.{}", step.op, step.entry);
    }
}

#[test]
fn no_step_reads_and_writes_the_same_buffer() {
    for step in steps() {
        let buffers = |access| -> BTreeSet<BufferId> {
            step.operands.iter().filter(|o| o.access == access).map(|o| o.view.buffer).collect()
        };
        let both = &buffers(Access::Read) & &buffers(Access::Write);
        assert!(both.is_empty(), "{}.{} of {}", step.op, step.entry, step.layer);
    }
}

#[test]
fn attributes_are_the_overrides() {
    for stem in STEMS {
        let overrides = reflect::overrides(&text(stem)).unwrap();
        let names: Vec<&str> = overrides.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, (stem.attributes)(), "{}", stem.name);
    }
    for step in steps() {
        let overrides = reflect::overrides(&text(stem_of(&step))).unwrap();
        for ((name, kind), (attribute, value)) in overrides.iter().zip(&step.constants) {
            let expected = match value {
                Constant::U32(_) => naga::ScalarKind::Uint,
                Constant::F32(_) => naga::ScalarKind::Float,
                Constant::Bool(_) => naga::ScalarKind::Bool,
            };
            assert_eq!((name.as_str(), *kind), (*attribute, expected), "{}", step.op);
        }
    }
}

/// Fields of the shaders' `Slot` with their offsets, beside the host's.
#[test]
fn slot_has_the_same_layout_on_both_sides() {
    let (module, _) = reflect::module(&text(&STEMS[0])).unwrap();
    let (_, slot) = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some("Slot")).unwrap();
    let naga::TypeInner::Struct { members, span } = &slot.inner else { panic!("Slot is no struct") };
    let found: Vec<(&str, usize)> =
        members.iter().map(|m| (m.name.as_deref().unwrap(), m.offset as usize)).collect();
    let expected = [
        ("first", std::mem::offset_of!(Slot, first)),
        ("count", std::mem::offset_of!(Slot, count)),
        ("index", std::mem::offset_of!(Slot, index)),
        ("learning_rate", std::mem::offset_of!(Slot, learning_rate)),
        ("correction1", std::mem::offset_of!(Slot, correction1)),
        ("correction2", std::mem::offset_of!(Slot, correction2)),
        ("momentum", std::mem::offset_of!(Slot, momentum)),
        ("shrink", std::mem::offset_of!(Slot, shrink)),
        ("seed_low", std::mem::offset_of!(Slot, seed_low)),
        ("seed_high", std::mem::offset_of!(Slot, seed_high)),
    ];
    assert_eq!(found, expected);
    assert_eq!(*span as usize, size_of::<Slot>());
    let common = ops::COMMON_WGSL;
    assert!(common.contains(&format!("const WORKGROUP: u32 = {WORKGROUP}u;")));
}

/// WebGPU's default limits, which every browser and vendor grants.
#[test]
fn kernels_stay_within_default_limits() {
    for stem in STEMS {
        for entry in entries(stem) {
            let [x, y, z] = entry.workgroup_size;
            let known = [WORKGROUP, FUSED_WORKGROUP].contains(&(x as usize));
            assert!(known && (y, z) == (1, 1), "{}.{}", stem.name, entry.name);
            assert!(x * y * z <= 256);
            assert!(entry.bindings.len() <= 8, "{}.{} binds {}", stem.name, entry.name, entry.bindings.len());
        }
        let (module, _) = reflect::module(&text(stem)).unwrap();
        let mut layouter = naga::proc::Layouter::default();
        layouter.update(module.to_ctx()).unwrap();
        let shared: u32 = module
            .global_variables
            .iter()
            .filter(|(_, variable)| variable.space == naga::AddressSpace::WorkGroup)
            .map(|(_, variable)| layouter[variable.ty].size)
            .sum();
        assert!(shared <= 16 << 10, "{} takes {shared} bytes of workgroup memory", stem.name);
    }
}

#[test]
fn fused_shaders_and_their_ops_count_on_the_same_workgroup() {
    for stem in STEMS.iter().filter(|stem| stem.wgsl.contains("LANES")) {
        assert!(stem.wgsl.contains(&format!("const LANES: u32 = {FUSED_WORKGROUP}u;")), "{}", stem.name);
    }
    let trunk = STEMS.iter().find(|stem| stem.name == "trunk").unwrap();
    assert!(trunk.wgsl.contains(&format!("const MEMORY: u32 = {}u;", trunk::MEMORY)));
}

#[test]
fn no_invocation_loops_longer_than_llvmpipe_allows() {
    for step in steps() {
        assert!(step.iterations <= ITERATION_BUDGET, "{}.{}: {}", step.op, step.entry, step.iterations);
    }
}

/// What other vendors' drivers will be given.
#[test]
fn every_kernel_translates_to_every_language() {
    // One step is enough for each kernel: only the values of its overrides differ.
    let mut seen = BTreeSet::new();
    for step in steps() {
        if seen.insert((step.op, step.entry)) {
            translate(&step);
        }
    }
    assert_eq!(seen.len(), FUNCTIONS.len());
}

fn translate(step: &Step) {
    let name = format!("{}.{}", step.op, step.entry);
    let (module, info) = reflect::module(&text(stem_of(step))).unwrap();
    let constants = step.constants.iter().map(|(name, value)| (name.to_string(), value.as_f64())).collect();
    let stage = naga::ShaderStage::Compute;
    let (module, info) =
        back::pipeline_constants::process_overrides(&module, &info, Some((stage, step.entry)), &constants)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    let entry = || back::spv::PipelineOptions { shader_stage: stage, entry_point: step.entry.into() };

    let spv = back::spv::write_vec(&module, &info, &back::spv::Options::default(), Some(&entry()));
    assert!(!spv.unwrap_or_else(|error| panic!("{name}, SPIR-V: {error}")).is_empty());

    let options =
        back::msl::Options { lang_version: (2, 4), fake_missing_bindings: true, ..Default::default() };
    let pipeline =
        back::msl::PipelineOptions { entry_point: Some((stage, step.entry.into())), ..Default::default() };
    let msl = back::msl::write_string(&module, &info, &options, &pipeline);
    assert!(!msl.unwrap_or_else(|error| panic!("{name}, MSL: {error}")).0.is_empty());

    let options = back::hlsl::Options {
        shader_model: back::hlsl::ShaderModel::V6_0,
        fake_missing_bindings: true,
        ..Default::default()
    };
    let pipeline = back::hlsl::PipelineOptions { entry_point: Some((stage, step.entry.into())) };
    let mut hlsl = String::new();
    back::hlsl::Writer::new(&mut hlsl, &options, &pipeline)
        .write(&module, &info, None)
        .unwrap_or_else(|error| panic!("{name}, HLSL: {error}"));
    assert!(hlsl.contains(step.entry));

    let options = back::glsl::Options {
        version: back::glsl::Version::Embedded { version: 310, is_webgl: false },
        ..Default::default()
    };
    let pipeline =
        back::glsl::PipelineOptions { shader_stage: stage, entry_point: step.entry.into(), multiview: None };
    let mut glsl = String::new();
    back::glsl::Writer::new(
        &mut glsl,
        &module,
        &info,
        &options,
        &pipeline,
        naga::proc::BoundsCheckPolicies::default(),
    )
    .and_then(|mut writer| writer.write())
    .unwrap_or_else(|error| panic!("{name}, GLSL: {error}"));
    assert!(glsl.contains("void main()"));
}

/// A page is made of figures: whoever has them can make it, on any device and from any program.
#[test]
fn the_report_knows_neither_devices_nor_the_command_line() {
    for stem in stems_in("src/report", ".rs") {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/report").join(stem).with_extension("rs");
        let text = std::fs::read_to_string(&path).unwrap();
        for module in ["cli", "cpu", "gpu", "parity"] {
            assert!(!text.contains(&format!("crate::{module}")), "{} imports {module}", path.display());
        }
    }
}
