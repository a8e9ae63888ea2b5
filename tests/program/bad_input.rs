//! Whatever a user gives the program: one message with the file, the place and the remedy, the
//! documented exit code, no panic, and nothing lost.

use std::path::Path;
use std::process::{Output, Stdio};

use crate::common::idx;
use crate::common::program::{program, run, stderr, train};
use safetensors::tensor::{Dtype, TensorView};

/// Runs the program and checks how it ends.
fn refused(folder: &Path, arguments: &[&str], code: i32, words: &[&str]) {
    let output = program().args(arguments).current_dir(folder).output().unwrap();
    ends(&output, arguments, code, words);
}

fn ends(output: &Output, arguments: &[&str], code: i32, words: &[&str]) {
    let message = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {message}");
    assert!(!message.contains("panicked"), "{arguments:?}: {message}");
    let errors = message.lines().filter(|line| line.starts_with("error:")).count();
    assert_eq!(errors, usize::from(code != 0), "{arguments:?}: {message}");
    for words in words {
        assert!(message.contains(words), "{arguments:?} does not say \"{words}\": {message}");
    }
}

#[test]
fn flags_that_cannot_train() {
    let parent = tempfile::tempdir().unwrap();
    let cases: &[(&[&str], i32, &[&str])] = &[
        (&["--adapter", "no such card"], 4, &["no adapter matches \"no such card\"", "--adapter cpu"]),
        (&["--adapter", "99"], 4, &["--adapter cpu"]),
        (&["--adapter", ""], 4, &["no adapter matches \"\"", "--adapter cpu"]),
        (&["--model", "resnet"], 2, &["the models are: sn-lenet5"]),
        (&["--model", "SN-LeNet5"], 2, &["did you mean sn-lenet5?"]),
        (&["--model", "koch"], 2, &["does not take images of 28x28", "--image-size 105"]),
        (&["--dataset", "mnits"], 2, &["mnits", "fashion-mnist"]),
        (&["--dataset", "MNIST"], 2, &["did you mean mnist?"]),
        (&["--val-share", "1"], 2, &["--val-share 1: must be a number from 0.001 to 0.9"]),
        (&["--split", "classes", "--val-share", "0.01"], 2, &["10 classes, of which a share of 0.01"]),
        (&["--dataset", "mnist"], 2, &["--data-dir"]),
        (&["--dataset", "mnist", "--data-dir", "nowhere"], 3, &["nowhere", "no such folder", "train-images"]),
        (&["--batch-size", "0"], 2, &["--batch-size 0: must be between 1 and 65536"]),
        (&["--batch-size", "1"], 2, &["batch of 1", "norm over the batch needs at least 2"]),
        (&["--batch-size", "60000"], 2, &["19200 training pairs", "use a smaller --batch-size"]),
        (&["--batch-size", "-3"], 2, &["--batch-size"]),
        (&["--lr", "nan"], 2, &["--lr NaN: must be a positive number"]),
        (&["--lr", "inf"], 2, &["--lr inf"]),
        (&["--lr", "-1"], 2, &["--lr -1: must be a positive number"]),
        (&["--adam-eps", "0"], 2, &["--adam-eps"]),
        (&["--lr", "1e-50"], 2, &["--lr 0.", "such as 0.001"]),
        (&["--lr", "1e300"], 2, &["--lr 1", "f32"]),
        (&["--margin", "0"], 2, &["--margin 0: must be a positive number", "such as 1"]),
        (&["--threads", "100000"], 2, &["--threads 100000: must be 0", "to 1024"]),
        (&["--model", "lenet5", "--loss", "hadsell"], 2, &["--loss: lenet5 classifies images"]),
        (&["--model", "lenet5", "--margin", "2"], 2, &["--margin: lenet5 classifies images"]),
        (&["--loss", "episodes", "--batch-size", "61"], 2, &["a batch of 61 does not hold whole episodes"]),
        (
            &["--loss", "episodes", "--way", "20"],
            2,
            &["a batch of 64 does not hold whole episodes", "multiple of 20"],
        ),
        (&["--loss", "episodes", "--way", "1"], 2, &["--way 1: must be from 2"]),
        (&["--way", "8"], 2, &["--way", "--loss episodes"]),
        (&["--loss", "episodes", "--way", "8", "--distance", "l1"], 2, &["Euclidean distance"]),
        (&["--epochs", "0"], 2, &["--epochs 0: must be 1 to"]),
        (&["--checkpoint-steps", "0"], 2, &["--checkpoint-steps"]),
        (&["--seed", "18446744073709551615"], 2, &["--seed"]),
        (&["--resume"], 2, &["--run-dir"]),
        (&["--run-dir", "/proc/nowhere"], 6, &["/proc/nowhere", "choose another --run-dir"]),
        (&["--threads", "many"], 2, &["--threads"]),
        (&["--what"], 2, &["--what"]),
    ];
    for (arguments, code, words) in cases {
        let arguments = [&["train"], *arguments].concat();
        let adapter: &[&str] = if arguments.contains(&"--adapter") { &[] } else { &["--adapter", "cpu"] };
        let elsewhere = arguments.iter().any(|flag| ["--run-dir", "--resume"].contains(flag));
        let folder: &[&str] = if elsewhere { &[] } else { &["--run-dir", "new/run"] };
        refused(parent.path(), &[&arguments, adapter, folder].concat(), *code, words);
        let left = std::fs::read_dir(parent.path()).unwrap().count();
        assert_eq!(left, 0, "{arguments:?} left something behind");
    }
    refused(parent.path(), &["parity", "--adapter", "cpu", "--op", "conv3d"], 2, &["conv3d", "conv2d"]);
}

#[test]
fn files_of_settings() {
    let parent = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(parent.path().join(name), text).unwrap();
    write("unknown.toml", "epochs = 1\nlearning-rate = 1\n");
    write("broken.toml", "epochs = \n");
    write("type.toml", "epochs = \"three\"\n");
    write("range.toml", "lr = -1.0\n");
    write("kind.toml", "pool = \"median\"\n");
    std::fs::write(parent.path().join("bytes.toml"), b"\xff\xfe\x00").unwrap();
    let cases: &[(&str, &[&str])] = &[
        ("unknown.toml", &["unknown.toml", "line 2", "learning-rate"]),
        ("broken.toml", &["broken.toml", "line 1"]),
        ("type.toml", &["type.toml", "line 1", "invalid type"]),
        ("range.toml", &["--lr -1"]),
        ("kind.toml", &["kind.toml", "median", "average"]),
        ("bytes.toml", &["bytes.toml", "UTF-8"]),
        ("absent.toml", &["absent.toml", "check the path"]),
        #[cfg(unix)]
        ("/dev/zero", &["/dev/zero", "too many for settings"]),
    ];
    for (file, words) in cases {
        refused(parent.path(), &["train", "--adapter", "cpu", "--config", file], 2, words);
    }
}

/// What replaces one file of a right set, and what is said.
#[test]
fn files_of_data() {
    let [images, labels, test_images, test_labels] = idx::NAMES;
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, bytes).unwrap();
        encoder.finish().unwrap()
    };
    let right = idx::images(60, 28);
    let mut bad_label = idx::labels(60);
    bad_label[8 + 17] = 10;
    let cases: &[(&str, Vec<u8>, &[&str])] = &[
        (images, right[..1000].to_vec(), &["ends at byte 1000 of 47056 (pixels)"]),
        (images, right[..10].to_vec(), &["ends at byte 10"]),
        (images, Vec::new(), &["ends at byte 0"]),
        (images, gzip(&right)[..400].to_vec(), &["of 47056 (pixels)", "Fetch the file again"]),
        (images, [&right[..], b"x"].concat(), &["goes on after byte 47056"]),
        (images, idx::labels(60), &["is an IDX label file", "Put image files here"]),
        (labels, idx::images(60, 28), &["is an IDX image file"]),
        (images, b"\x89PNG\r\n\x1a\n0123456789".to_vec(), &["is a PNG picture"]),
        (images, b"<!DOCTYPE html><html>".to_vec(), &["is a web page"]),
        (images, idx::file(0x0308_0000, &[60, 28, 28], &[]), &["bytes swapped"]),
        // Sizes whose product overflows 64 bits, and ones that ask for 17 terabytes.
        (images, idx::file(2051, &[u32::MAX; 3], &[]), &["bytes 4 to 15 declare 4294967295 x", "limit"]),
        (images, idx::file(2051, &[1 << 22, 2048, 2048], &[]), &["limit of 1073741824 bytes"]),
        (images, idx::file(2051, &[0, 28, 28], &[]), &["number of images at byte 4 is 0"]),
        (labels, idx::labels(59), &["60 images", "59 labels", "same copy"]),
        (test_images, idx::images(20, 32), &["28x28", "32x32"]),
        (labels, bad_label, &["label 17 (byte 25) is 10, but labels run from 0 to 9"]),
        (test_labels, idx::file(2049, &[20], &[3; 20]), &["1 class(es)", "a negative pair needs two"]),
    ];
    for (file, bytes, words) in cases {
        let parent = tempfile::tempdir().unwrap();
        idx::write_set(&parent.path().join("mnist"));
        std::fs::write(parent.path().join("mnist").join(file), bytes).unwrap();
        let arguments =
            ["train", "--adapter", "cpu", "--dataset", "mnist", "--data-dir", ".", "--batch-size", "4"];
        // What is wrong with pairs is not in one file.
        let named = if words[0].contains("class") { &[][..] } else { &[*file][..] };
        refused(parent.path(), &arguments, 3, &[*words, named].concat());
        assert!(!parent.path().join("runs").exists(), "a run was begun");
    }
}

#[test]
fn a_set_given_as_another_is_warned_of() {
    let parent = tempfile::tempdir().unwrap();
    idx::write_set(&parent.path().join("mnist"));
    let data = parent.path().to_str().unwrap();
    let arguments =
        ["train", "--adapter", "cpu", "--dataset", "mnist", "--data-dir", data, "--batch-size", "4"];
    let output = run(&[&arguments[..], &["--epochs", "1", "--run-dir", &format!("{data}/run")]].concat());
    ends(&output, &arguments, 0, &["warning: ", "is not the published file of mnist", "MD5"]);
}

/// A glyph as a PNG.
fn picture(index: usize) -> Vec<u8> {
    let set = gpu_siamese::data::glyphs::generate(&Default::default(), 0);
    let grey = image::GrayImage::from_raw(28, 28, set.image(index).unwrap().to_vec()).unwrap();
    let mut png = std::io::Cursor::new(Vec::new());
    grey.write_to(&mut png, image::ImageFormat::Png).unwrap();
    png.into_inner()
}

type Raw = (String, Vec<usize>, Dtype, Vec<u8>);

/// The tensors of a weights file, changed and written anew without metadata.
fn changed(weights: &Path, to: &Path, change: impl FnOnce(&mut Vec<Raw>)) {
    let file = std::fs::read(weights).unwrap();
    let mut tensors: Vec<Raw> = safetensors::SafeTensors::deserialize(&file)
        .unwrap()
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, view.shape().to_vec(), view.dtype(), view.data().to_vec()))
        .collect();
    change(&mut tensors);
    let views = tensors.iter().map(|(name, shape, dtype, bytes)| {
        (name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    std::fs::write(to, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// A safetensors file of this header.
fn with_header(header: &str) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat()
}

#[test]
fn weights_that_cannot_be_used() {
    let parent = tempfile::tempdir().unwrap();
    let short = ["--adapter", "cpu", "--epochs", "1", "--max-steps", "2", "--batch-size", "4"];
    let (folder, _) = train(parent.path(), "run", &short);
    let best = folder.join("best.safetensors");
    let whole = std::fs::read(&best).unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(parent.path().join(name), bytes).unwrap();
    write("junk", b"not weights at all");
    write("empty", b"");
    write("truncated", &whole[..whole.len() - 1]);
    write("pickle", b"PK\x03\x04archive/data.pkl");
    write("header-of-exabytes", &[&u64::MAX.to_le_bytes()[..], b"{}"].concat());
    let terabytes = r#"{"w":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}"#;
    write("terabytes", &with_header(terabytes));
    let overflow = r#"{"w":{"dtype":"F32","shape":[4294967296,4294967296,2],"data_offsets":[0,4]}}"#;
    write("overflow", &[with_header(overflow), vec![0; 4]].concat());
    let metadata = |json: &str| with_header(&format!(r#"{{"__metadata__":{{"gpu-siamese":{json:?}}}}}"#));
    write("metadata", &metadata("{}"));
    let huge = r#"{"model":"sn-lenet5","dataset":"glyphs","input":{"channels":99999999999,"height":28,"width":28},"activation":"relu","pool":"max","distance":"euclidean","convention":"similarity","margin":1.0,"norm_eps":1e-5,"threshold":0.5,"seed":0,"epoch":1,"step":1}"#;
    write("huge-input", &metadata(huge));
    let at = |name: &str| parent.path().join(name);
    changed(&best, &at("missing"), |tensors| tensors.retain(|tensor| tensor.0 != "fc2.bias"));
    changed(&best, &at("extra"), |tensors| {
        tensors.push(("fc9.bias".into(), vec![1], Dtype::F32, vec![0; 4]))
    });
    changed(&best, &at("misshapen"), |tensors| {
        tensors.iter_mut().filter(|t| t.0 == "fc1.weight").for_each(|t| t.1.reverse());
    });
    changed(&best, &at("whole-numbers"), |tensors| {
        tensors.iter_mut().filter(|t| t.0 == "fc2.bias").for_each(|t| t.2 = Dtype::I32);
    });
    changed(&best, &at("nan"), |tensors| {
        tensors.iter_mut().filter(|t| t.0 == "fc2.bias").for_each(|t| t.3[8..12].fill(0xff));
    });
    // Values that are finite, but not what follows from them.
    let set = |name: &str, tensor: &str, value: f32| {
        changed(&best, &at(name), |tensors| {
            let (.., bytes) = tensors.iter_mut().find(|t| t.0 == tensor).unwrap();
            bytes.as_chunks_mut::<4>().0.iter_mut().for_each(|number| *number = value.to_le_bytes());
        });
    };
    set("huge", "conv1.bias", 3e38);
    set("large", "fc2.weight", 1e30);
    set("variance", "head.norm.running_var", -1.0);
    set("overflow-of-a-distance", "fc2.weight", 1.5e19);
    let cases: &[(&str, &[&str])] = &[
        ("huge", &["conv1.bias holds 3", "at position 0", "32-bit floats overflow"]),
        ("large", &["fc2.weight holds 1", "32-bit floats overflow"]),
        ("variance", &["head.norm.running_var holds -1", "never negative"]),
        ("junk", &["is not a safetensors file"]),
        ("empty", &["is not a safetensors file"]),
        ("truncated", &["is not a safetensors file"]),
        ("pickle", &["torch.save", "safetensors.torch.save_file"]),
        ("header-of-exabytes", &["is not a safetensors file"]),
        ("terabytes", &["declares tensors of more than 8589934592 bytes"]),
        ("overflow", &["is not a safetensors file"]),
        ("metadata", &["metadata cannot be used"]),
        ("missing", &["fc2.bias [84] is missing"]),
        ("extra", &["fc9.bias [1] is unknown"]),
        ("misshapen", &["fc1.weight is [400, 120], but the model wants [120, 400]"]),
        ("whole-numbers", &["fc2.bias is I32; convert it to float32"]),
        ("nan", &["fc2.bias holds NaN at position 2"]),
        ("absent", &["cannot be read", "check the path"]),
        #[cfg(unix)]
        ("/dev/zero", &["is not a safetensors file"]),
    ];
    for (file, words) in cases {
        let words = [*words, &[*file]].concat();
        let eval = ["eval", "--adapter", "cpu", "--model", "sn-lenet5", "--weights", file];
        refused(parent.path(), &eval, 3, &words);
        refused(parent.path(), &["train", "--adapter", "cpu", "--init", file], 3, &words);
    }
    let eval = ["eval", "--adapter", "cpu", "--weights"];
    refused(parent.path(), &[&eval[..], &["huge-input"]].concat(), 3, &["images of 99999999999x28x28"]);
    std::fs::write(at("a.png"), picture(0)).unwrap();
    std::fs::write(at("b.png"), picture(1)).unwrap();
    let overflow = ["--adapter", "cpu", "--model", "sn-lenet5", "--weights", "overflow-of-a-distance"];
    for command in [
        &["eval"][..],
        &["eval", "--json"],
        &["compare", "a.png", "b.png"],
        &["oneshot", "--dataset", "glyph-alphabets"],
    ] {
        let arguments = [command, &overflow].concat();
        let output = program().args(&arguments).current_dir(parent.path()).output().unwrap();
        ends(&output, &arguments, 5, &["a distance is", "did not diverge"]);
        assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    // The rest is about weights that are fine.
    changed(&best, &at("foreign"), |_| {});
    changed(&best, &at("wrapped"), |tensors| {
        for (name, _, dtype, bytes) in tensors {
            *name = format!("module.{name}");
            let wide = |four: &[u8; 4]| f64::from(f32::from_le_bytes(*four)).to_le_bytes();
            (*dtype, *bytes) = (Dtype::F64, bytes.as_chunks().0.iter().flat_map(wide).collect());
        }
    });
    let scored = |file: &str, words: &[&str]| {
        let arguments = ["eval", "--adapter", "cpu", "--model", "sn-lenet5", "--json", "--weights", file];
        let output = program().args(arguments).current_dir(parent.path()).output().unwrap();
        ends(&output, &arguments, 0, words);
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["loss"].clone()
    };
    let notes = ["of F64 were converted to float32", "begin with module."];
    assert_eq!(scored("wrapped", &notes), scored("foreign", &[]));
    let run = ["--adapter", "cpu", "--run-dir", "run"];
    let more: &[(&[&str], i32, &[&str])] = &[
        (&["eval", "--adapter", "cpu", "--weights", "foreign"], 2, &["name it with --model"]),
        (&["eval", "--weights", "foreign", "--model", "vgg"], 2, &["the models are"]),
        (&["eval", "--adapter", "cpu"], 2, &["--run-dir"]),
        (&["eval", "--adapter", "cpu", "--run-dir", "nowhere"], 2, &["no config.toml", "nowhere"]),
        (&["eval", "--weights", "foreign", "--model", "sn-lenet5", "--threshold", "saved"], 2, &["has none"]),
        (
            &["eval", "--adapter", "cpu", "--run-dir", "run", "--pool", "average"],
            2,
            &["--pool", "leave the flag out"],
        ),
        (&["eval", "--run-dir", "run", "--threshold", "2"], 2, &["--threshold"]),
    ];
    for (arguments, code, words) in more {
        refused(parent.path(), arguments, *code, words);
    }
    // Lists of pairs and pictures.
    for (name, text) in [
        ("fields.csv", "1,2\n3\n"),
        ("same.csv", "1,2,maybe\n"),
        ("beyond.csv", "0,1\n0,2000\n"),
        ("picture.csv", "0,nothing.png\n"),
        ("text.csv", "0,text.png\n"),
        ("none.csv", "a,b,same\n"),
        ("binary.csv", "\u{0}\u{1}"),
    ] {
        write(name, text.as_bytes());
    }
    write("text.png", b"no picture");
    let lists: &[(&str, &[&str])] = &[
        ("fields.csv", &["fields.csv, line 2", "`a,b` or `a,b,same`"]),
        ("same.csv", &["same.csv, line 1", "maybe"]),
        ("beyond.csv", &["beyond.csv, line 2", "no test image 2000", "0 to 1999"]),
        ("picture.csv", &["picture.csv, line 1", "nothing.png", "cannot read"]),
        ("text.csv", &["text.csv, line 1", "text.png", "no picture to be read"]),
        ("none.csv", &["none.csv", "there is no pair"]),
        ("binary.csv", &["binary.csv, line 1"]),
        ("absent.csv", &["absent.csv", "cannot read"]),
        #[cfg(unix)]
        ("/dev/zero", &["/dev/zero, line 1", "the line has more than"]),
    ];
    for (list, words) in lists {
        refused(parent.path(), &[&["eval"], &run[..], &["--pairs", list]].concat(), 3, words);
    }
    let scores = [&["eval"], &run[..], &["--scores", "no/such/folder.csv"]].concat();
    refused(parent.path(), &scores, 6, &["no/such", "choose another --scores"]);
    if cfg!(unix) {
        // Not a file to be replaced.
        let scores = [&["eval"], &run[..], &["--scores", "/dev/stdout"]].concat();
        let output = program().args(scores).current_dir(parent.path()).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(printed.lines().filter(|line| line.split(',').count() == 5).count(), 4001, "{printed}");
    }
    let compare = |file: &str, words: &[&str]| {
        refused(parent.path(), &[&["compare"], &run[..], &[file, "text.png"]].concat(), 3, words);
    };
    compare("text.png", &["text.png", "PNG, JPEG"]);
    let picture =
        image::RgbImage::from_fn(90, 90, |x, y| image::Rgb([(x * y) as u8, (x * x) as u8, y as u8]));
    picture.save(at("whole.jpg")).unwrap();
    let jpeg = std::fs::read(at("whole.jpg")).unwrap();
    write("cut.jpg", &jpeg[..jpeg.len() / 5]);
    compare("cut.jpg", &["cut.jpg", "ends in the middle", "Fetch it again"]);
    write("phone.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic");
    compare("phone.heic", &["phone.heic", "is a HEIC picture", "PNG, JPEG"]);
    #[cfg(unix)]
    compare("/dev/zero", &["/dev/zero", "no picture to be read"]);
    // Bad lines are listed and left out, as many as may be; the rest is scored.
    write("mixed.csv", b"Image1;Image2\n0;1\ncut.jpg;1\n2;nothing.png\nwhole.jpg;3\n");
    let mixed = [&["eval"], &run[..], &["--pairs", "mixed.csv", "--json", "--skip-bad"]].concat();
    refused(
        parent.path(),
        &[&mixed[..], &["1"]].concat(),
        3,
        &["left out: mixed.csv, line 3: cut.jpg", "mixed.csv, line 4"],
    );
    let output = program().args(&mixed).arg("2").current_dir(parent.path()).output().unwrap();
    ends(&output, &mixed, 0, &["mixed.csv, line 3: cut.jpg", "mixed.csv, line 4: nothing.png"]);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&told["pairs"], &told["skipped"], &told["accuracy"]),
        (&2.into(), &2.into(), &serde_json::Value::Null)
    );
    let scores = told["scores"].as_array().unwrap();
    assert_eq!((&scores[1]["a"], &scores[1]["b"], scores.len()), (&"whole.jpg".into(), &"3".into(), 2));
    assert!(scores.iter().all(|score| score["similarity"].is_number() && score["distance"].is_number()));
    let printed = program()
        .args(&mixed[..mixed.len() - 2])
        .args(["--skip-bad", "2"])
        .current_dir(parent.path())
        .output();
    let printed = String::from_utf8(printed.unwrap().stdout).unwrap();
    assert!(
        printed.starts_with("0\t1\t")
            && printed.contains("whole.jpg\t3\t")
            && printed.contains("2 lines left out")
    );
    refused(parent.path(), &[&["compare"], &run[..], &["text.png"]].concat(), 2, &["<B>"]);
    assert_eq!(whole, std::fs::read(&best).unwrap(), "the weights are as they were");
}

#[test]
fn a_checkpoint_that_is_damaged_is_not_resumed_from() {
    let parent = tempfile::tempdir().unwrap();
    let short = ["--adapter", "cpu", "--epochs", "1", "--max-steps", "2", "--batch-size", "4"];
    let (folder, _) = train(parent.path(), "run", &short);
    let last = folder.join("last.safetensors");
    let whole = std::fs::read(&last).unwrap();
    let resume = ["train", "--adapter", "cpu", "--resume", "--run-dir", "run"];
    std::fs::write(&last, &whole[..whole.len() / 2]).unwrap();
    refused(parent.path(), &resume, 3, &["last.safetensors", "is not a safetensors file"]);
    // Weights are no checkpoint.
    std::fs::copy(folder.join("best.safetensors"), &last).unwrap();
    refused(parent.path(), &resume, 3, &["last.safetensors", "position of the run is missing"]);
    std::fs::write(&last, &whole).unwrap();
    let metrics = std::fs::read(folder.join("metrics.jsonl")).unwrap();
    std::fs::write(folder.join("metrics.jsonl"), "{\"epoch\": 1}\n").unwrap();
    refused(parent.path(), &resume, 3, &["metrics.jsonl", "line 1"]);
    std::fs::write(folder.join("metrics.jsonl"), metrics).unwrap();
    std::fs::write(folder.join("config.toml"), "model = 3").unwrap();
    refused(parent.path(), &resume, 2, &["config.toml"]);
    assert_eq!(std::fs::read(&last).unwrap(), whole);
}

#[test]
fn a_folder_with_files_is_left_alone() {
    let parent = tempfile::tempdir().unwrap();
    std::fs::write(parent.path().join("precious"), "do not lose me").unwrap();
    let folder = parent.path().to_str().unwrap();
    refused(parent.path(), &["train", "--adapter", "cpu", "--run-dir", folder], 2, &["not empty"]);
    let resume = ["train", "--adapter", "cpu", "--resume", "--run-dir", folder];
    refused(parent.path(), &resume, 2, &["no config.toml"]);
    assert_eq!(std::fs::read_to_string(parent.path().join("precious")).unwrap(), "do not lose me");
}

/// A file may not grow beyond some kilobytes, as on a disk that is full.
#[cfg(unix)]
#[test]
fn a_full_disk_keeps_the_last_good_checkpoint() {
    let parent = tempfile::tempdir().unwrap();
    let short = ["--adapter", "cpu", "--epochs", "1", "--max-steps", "2", "--batch-size", "4"];
    let (folder, _) = train(parent.path(), "run", &short);
    let files = ["best.safetensors", "last.safetensors", "config.toml"];
    let before = files.map(|name| std::fs::read(folder.join(name)).unwrap());
    let script = format!(
        "trap '' XFSZ; ulimit -f 100; exec {} train --adapter cpu --resume --run-dir run --max-steps 9 --epochs 2",
        program().get_program().display()
    );
    let output =
        std::process::Command::new("sh").args(["-c", &script]).current_dir(parent.path()).output().unwrap();
    ends(&output, &["full disk"], 6, &[".safetensors", "cannot be written", "free some space"]);
    let after = files.map(|name| std::fs::read(folder.join(name)).unwrap());
    assert_eq!(before[..2], after[..2]);
    assert!(!folder.join("best.safetensors.partial").exists());
    // With room again the run goes on.
    let output = program()
        .args(["train", "--adapter", "cpu", "--resume", "--run-dir", "run"])
        .current_dir(parent.path())
        .output()
        .unwrap();
    ends(&output, &["room again"], 0, &["resumed at step 2"]);
}

/// Nobody reads any more: training goes on, printing ends quietly.
#[cfg(unix)]
#[test]
fn a_closed_pipe_is_no_failure() {
    let parent = tempfile::tempdir().unwrap();
    let script = format!(
        "{} train --adapter cpu --epochs 1 --max-steps 3 --run-dir run 2>&1 | true; \
         {0} plan --adapter cpu --json | true; {0} adapters | true",
        program().get_program().display()
    );
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &script]).current_dir(parent.path()).stdin(Stdio::null());
    let output = command.output().unwrap();
    ends(&output, &["closed pipe"], 0, &[]);
    assert!(parent.path().join("run/summary.json").is_file(), "the run did not go on");
}
