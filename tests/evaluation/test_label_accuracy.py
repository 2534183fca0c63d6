from open_seq2seq.evaluation.label_accuracy import described, label_counts, named_counts
from open_seq2seq.text.vocabulary import Vocabulary
from open_seq2seq.training.report.page import page
from open_seq2seq.training.report.summary import label_accuracies


def test_labels_are_counted_where_transcripts_have_them_at_their_place(tmp_path):
    (tmp_path / "vocab.txt").write_text(" \na\nb\nc\n")
    vocabulary = Vocabulary.from_file(str(tmp_path / "vocab.txt"))
    references = [vocabulary.encode(text) for text in ("ab a", "abc", "", "cc")]
    counts = label_counts(vocabulary, references, ["ab b", "xabbc".replace("x", "b"), "a", ""])
    named = named_counts(vocabulary, counts)
    # of "ab a" the last a is wrong; of "abc" everything is there; both c of the last are missing
    assert named == {"a": [2, 3], "c": [1, 3], "b": [2, 2], " ": [1, 1]}
    assert list(named)[0] == "a" and described(named, 1) == "'c' 33 % of 3"


def test_the_report_has_a_table_of_the_last_measurement():
    entries = [dict(kind="subset", step=step, data_set=name, label_accuracy=accuracy) for step, name, accuracy in (
        (10, "train", {"a": [0, 4]}), (20, "train", {"a": [3, 4], "<b>": [1, 1]}),
        (20, "dev", {"a": [1, 2], " ": [5, 5], "damaged": [1], "none": [0, 0], "text": ["1", 2]}))]
    subsets, rows = label_accuracies(entries)
    assert subsets == ["train", "dev"]
    assert rows == [("a", ["4", "75.0 %", "2", "50.0 %"]), ("space", ["0", "", "5", "100.0 %"]),
                    ("<b>", ["1", "100.0 %", "0", ""])]
    text = page("run", [], [], [], None, (subsets, rows))
    assert "Accuracy of labels" in text and "&lt;b&gt;" in text and "75.0 %" in text
    assert "Accuracy of labels" not in page("run", [], [], [])
    assert label_accuracies([]) == ([], [])
