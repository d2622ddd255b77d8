// retort-cluster: a codebook from features or audio.
#include <iostream>

#include "base/disk.h"
#include "cluster/cluster.h"
#include "common/encoder_flags.h"
#include "common/tool.h"
#include "common/torch_twin.h"

#ifdef RETORT_IS_TORCH_TWIN
#include "torch_encoder/use_torch_encoder.h"
#include "torch_kmeans/use_torch_kmeans.h"
#include "torch_processes/use_torch_processes.h"
#endif

int main(int argc, char** argv) {
  retort::ClusterOptions options;
  std::string memory = "0", gpu_memory = "0";
  retort::Tool tool("retort-cluster",
                    "Cluster frames by k-means; the report is one JSON object on standard output.",
                    "retort-cluster -k 500 feats -o codebook");
  tool.option("INPUT", options.inputs,
              "Frame store, .npy or rspecifier (ark:, scp:); with --model a corpus file or audio files (-: "
              "one from standard input)")
      ->required();
  tool.option("-o,--output", options.output, "Codebook folder")->required();
  tool.option("-k,--clusters", options.kmeans.clusters, "Number of clusters")->check(CLI::Range(1, 65536));
  tool.option("--model", options.encoder.model,
              "Model folder or checkpoint, mfcc or fbank: cluster straight from audio");
  tool.option("--layer", options.encoder.layers, "Layer of the model");
  bind_encoder(tool, options.encoder);
  tool.option("--iterations", options.kmeans.iterations,
              "At most this many; fewer when nothing changes any more")
      ->check(CLI::Range(0, 1000000));
  tool.option("--tolerance", options.kmeans.tolerance,
              "Stop when an iteration lowers the objective by no more than this share; 0: go on");
  tool.option(
          "--mini-batch", options.kmeans.mini_batch,
          "Move the centroids after every so many random frames, instead of after all; 0: no mini-batches")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 30));
  tool.option("--no-improvement", options.kmeans.no_improvement,
              "Stop after this many mini-batches that do not lower the objective; 0: go on")
      ->check(CLI::Range(0, 1 << 30));
  tool.option(
      "--init", options.kmeans.init,
      "random, kmeans++, kmeans-parallel, or what to start from: a (K, dim) .npy or a codebook folder");
  tool.option("--init-points-per-centroid", options.kmeans.init_points_per_centroid,
              "Frames per cluster that the start looks at; 0: all; -1: 32 for kmeans++, all for "
              "kmeans-parallel")
      ->check(CLI::Range(int64_t{-1}, int64_t{1} << 40));
  tool.option("--starts", options.kmeans.starts, "Random starts; the best one is kept")
      ->check(CLI::Range(1, 1000));
  tool.option("--normalise", options.normalise,
              "Frames before they are clustered, and labelled: none, l2 or meanvar")
      ->check(CLI::IsMember({"none", "l2", "meanvar"}));
  tool.option("--engine", options.kmeans.engine, "auto, native, cuda, torch or faiss")
      ->check(CLI::IsMember({"auto", "native", "cuda", "torch", "faiss"}));
  tool.flag("--exhaustive", options.kmeans.exhaustive,
            "Compute every distance in every iteration: slower, less memory, the same codebook");
  tool.option("--points-per-centroid", options.kmeans.points_per_centroid,
              "Frames to train on per cluster, sampled; 0: all frames")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 40));
  tool.option("--memory", memory,
              "Stay within this much memory (8G, 500M): stream what does not fit; 0: no limit");
  tool.option("--subspaces", options.subspaces,
              "Make a product codebook of so many pieces of a frame, for stores of codes (--dtype pq)")
      ->check(CLI::Range(int64_t{0}, int64_t{65536}));
  tool.option("--alignments", options.alignments,
              "CTM file of phones: the report says how well the clusters tell them apart (PNMI)");
  tool.option("--labels", options.labels,
              "Where the labels of all input frames go too, as retort-label's output; empty: nowhere");
  tool.option("--gpu-memory", gpu_memory,
              "With engine cuda: take at most this much of the GPU's memory; 0: what is free");
  tool.option("--step", options.step,
              "Do one step of a job over many machines: update, or assign (of one --shard)");
  tool.flag("--dry-run", options.dry_run,
            "Print how many frames there are and what time, memory and disk they take, as JSON, and stop");
  tool.shard(options.shard);
  tool.seed(options.kmeans.seed);
  tool.device(options.kmeans.device);
  tool.threads(options.kmeans.threads);
  tool.max_bad(options.max_bad);
  tool.overwrite(options.overwrite);
  return tool.run(argc, argv, [&] {
#ifdef RETORT_IS_TORCH_TWIN
    retort::use_torch_encoder();
    retort::use_torch_kmeans();
    retort::use_torch_processes();
#else
    if (retort::wants_torch(options)) retort::become_torch_twin("retort-cluster", argv);
#endif
    options.kmeans.memory = retort::parse_bytes("--memory", memory);
    options.kmeans.gpu_memory = retort::parse_bytes("--gpu-memory", gpu_memory);
    const retort::Json report = run_cluster(options);
    if (!report.is_null()) std::cout << report.dump(2) << "\n";
  });
}
